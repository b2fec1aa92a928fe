"""What a person sees of a run: the live display, stage times, and the closing summary.

Other packages import:

- closing
- course: Stage, StageTimer
- display: Display
- standing: duration
"""
