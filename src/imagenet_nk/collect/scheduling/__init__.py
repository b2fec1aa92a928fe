"""Which candidate is read next, and which images a class keeps.

Other packages import:

- class_quota: ClassQuota
- cross_class: CrossClassSelection
- scheduler: Scheduler
"""
