"""A timm model without its head, with its weights, on a device, in the fastest runtime that gives the same embeddings.

Other packages import:

- autotune: warn_of_slow
- devices: one_thread_each
- model: Backbone, build
- runtimes: Runtime
"""
