"""The accuracy of the model's own classifier head, and whether the labels are numbered as labels= says.

Other packages import:

- head: MajorityVotes, evaluate_head
"""
