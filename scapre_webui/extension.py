"""What the host calls: a script that is always there, and callbacks."""

from __future__ import annotations

from typing import Any

from modules import script_callbacks, scripts

from . import axes, panel
from .choices import Choices
from .state import STATE, done


class EraseConcepts(scripts.Script):
    """The panel, and the life of a generation."""

    def title(self) -> str:
        """What programs call it, in small letters."""
        return "ScaPre"

    def show(self, is_img2img: bool) -> Any:
        """Always there, in both tabs."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        """The components whose values come with every generation."""
        built = panel.build(self.elem_id)
        self.infotext_fields = built.fields
        self.report = built.report
        return built.values

    def after_component(self, component: Any, **kwargs: Any) -> None:
        """The panel shows the report when the page has got what a generation came to."""
        if kwargs.get("elem_id") == f"html_log_{'img2img' if self.is_img2img else 'txt2img'}" and hasattr(
            self, "report"
        ):
            component.change(fn=panel.last_report, inputs=[], outputs=[self.report], show_progress=False)

    def before_process(self, p: Any, *values: Any) -> None:
        """Nothing is left of a generation that was broken off."""
        STATE.session.end()

    def process(self, p: Any, *values: Any) -> None:
        """The model is there, and its LoRAs are not yet."""
        STATE.session.begin(p, lambda: Choices.of(values, axes.changes_of(p)))

    def after_extra_networks_activate(self, p: Any, *values: Any, **kwargs: Any) -> None:
        """Forge calls it after a switch in the midst of a picture, too."""
        if STATE.session.begun and not STATE.session.is_on(p.sd_model):
            _put(p)

    def process_before_every_sampling(self, p: Any, *values: Any, **kwargs: Any) -> None:
        """Once for each pass of a batch."""
        _put(p)

    def postprocess(self, p: Any, processed: Any, *values: Any) -> None:
        """The generation has ended."""
        STATE.session.end()


def _put(p: Any) -> None:
    STATE.session.put(p)
    done()


def register() -> None:
    """Takes part in what concerns no single script; the host forgets it when its page is reloaded."""
    script_callbacks.on_before_ui(axes.add_axes)
    script_callbacks.on_app_started(_started)
    script_callbacks.on_model_loaded(STATE.session.switched)
    script_callbacks.on_cfg_denoiser(_before_step)


def _started(demo: Any, app: Any) -> None:
    from .routes import add_routes

    add_routes(app)


def _before_step(params: Any) -> None:
    """AUTOMATIC1111 switches to a refiner between two steps, and tells nobody."""
    p = getattr(getattr(params, "denoiser", None), "p", None)
    session = STATE.session
    if p is not None and session.begun and not hasattr(p.sd_model, "forge_objects") and not session.is_on(p.sd_model):
        _put(p)
