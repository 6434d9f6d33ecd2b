"""ScaPre: closed-form concept erasure for text-to-image diffusion models, in torch alone.

Text -> concepts -> token states -> statistics -> solve -> Edit. Computing an edit never changes a model. `files` keeps
edits, `merge` combines them.

Symbols of arXiv 2601.06162 and where they are computed:

=====================================  =====================================================
c_i, x_t, y_t (token states, pairs)    `token_states.encode_prompts`, `alignment.align`
P + S = Q Λ Qᵀ, C = U σ Vᵀ             `methods.ridge.build_shared`
r_ij (Informax gate)                   `informax.gate_codes`, `informax.gate_levels`
e_j, h_j, μ (retention)                `informax.retention`
g (spectral regulariser)               `methods.ridge.singular_gate`
Π (subject projector)                  `methods.ridge.subject_projector`
Σ_i r_ij (W N_i)_j (targets)           `methods.targets.gated_targets`
M_j w = b_j (`scale`)                  `methods.scale.solve`
W = A B⁻¹ (`precise`)                  `methods.precise.solve`
Bures proximal, row safety valve       `methods.rows.bures_step`, `methods.rows.row_valve`
=====================================  =====================================================
"""

VERSION = "0.1.0"  # of the pack; also in pyproject.toml, which nothing reads once the pack is installed
