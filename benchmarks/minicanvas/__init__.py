"""MiniCanvas: a small text-to-image model of our own on a drawn world, and the protocol that counts what an edit did.

world, captions     which objects, colours and artists there are, and how they are asked for
shapes, artists, drawing    what every one of them looks like
text, autoencoder, network  the parts of the SD1.5-format checkpoint
training, checkpoint        how they are learned, and put together
judge               reads object, colour and artist off a picture
tasks, protocol, evaluate   what is erased, what is asked, and the figures
"""
