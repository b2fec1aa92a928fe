"""Which candidate is asked next, and which images a class keeps.

Other packages import:

- acceptance: AcceptanceRules
- class_quota: ClassQuota
- cross_class: CrossClassIndex
- scheduler: Scheduler
"""
