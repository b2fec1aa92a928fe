"""Stage `collect`: fill the quota of every class with valid images, and record every attempt.

Other packages import:

- factory: build_scheduler, iter_candidates
- interrupts
- job: Job, ProgressCallback
- open_sources: open_fallback
- progress: Progress
- recorded: select_recorded
- recovery
- single_process: LocalRun
- stage: check, collect
"""
