"""The pack as an extension of AUTOMATIC1111's web UI and of Forge: the second adapter beside `nodes/`.

choices, infotext    what the panel says, and how a picture remembers it
solving, session     an edit for it, kept as long as it holds; and its life in one generation, which fails closed
guard, hooks         what stands before a diffusion model, and an edit beside the layers that it changes
hosts/               the models of each host: their weights, text encoders, and how an edit gets on them
panel, review, axes, routes, places    what people and programs see
extension            what the host calls
"""
