"""Stage `evaluate`: nearest class mean, other classifiers, classifier head, label check, metrics.

Other packages import:

- api: evaluate
- stage: evaluate_all, label_check_warnings, load_eval_list, load_ood_list, refuse_overlap

Its own folders import:

- metrics: mean_and_std, proportion
- ood: evaluate_ood
- similarity: linear_cka, within_between_ratio
"""
