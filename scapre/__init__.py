"""ScaPre: closed-form concept erasure for text-to-image diffusion models, in torch alone.

Text -> concepts -> token states -> statistics -> solve -> Edit. Computing an edit never changes a model. `files` keeps
edits, `merge` combines them. The folders are described in README.md.

Symbols of arXiv 2601.06162 and where they are computed; all but the first are in `methods.scapre`:

=====================================  =====================================================
c_i, x_t, y_t (token states, pairs)    `states.token_states`, `states.alignment.align`
P + S = Q Λ Qᵀ, C = U σ Vᵀ             `statistics.build_shared`
r_ij (Informax gate)                   `informax.gate_codes`, `informax.gate_levels`
e_j, h_j, μ (retention)                `informax.retention`
g (spectral regulariser)               `statistics.singular_gate`
Π (subject projector)                  `statistics.subject_projector`
Σ_i r_ij (W N_i)_j (targets)           `targets.gated_targets`
M_j w = b_j (`scale`)                  `scale.solve`
W = A B⁻¹ (`precise`)                  `precise.solve`
Bures proximal, row safety valve       `rows.bures_step`, `rows.row_valve`
=====================================  =====================================================
"""

VERSION = "0.1.0"  # of the pack; also in pyproject.toml, which nothing reads once the pack is installed
