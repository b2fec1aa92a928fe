"""What a person sees of a run: the live display, stage times, and the summary at the end.

Other packages import:

- display: Display
- progress_state: format_duration
- run_summary
- stage_timer: FILE_NAME, Stage, StageTimer, read_stages
"""
