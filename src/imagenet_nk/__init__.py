"""N_k images of each ImageNet class, list files over them, and class centers under any timm backbone."""

__version__ = "0.1.0"
