"""The latent space under a finger: in a notebook, in one file that needs no network, and a gallery of it all."""
