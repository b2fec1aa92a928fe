"""A timm model without its head, with its weights, on a device, in the fastest runtime that gives the same embeddings.

Other packages import:

- allocator: reuse_large_blocks
- autotune: warn_if_slow_dtype
- devices: single_threaded
- head: Head
- model: Backbone, build
- runtimes: Runtime
"""
