"""Stage `evaluate`: nearest class mean, classifier head, label check, metrics.

Other packages import:

- api: evaluate
- stage: evaluate_all, label_check_warnings, load_eval_list
"""
