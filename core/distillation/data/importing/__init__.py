"""Import jobs: uploaded files become a data set's file, or are refused with a reason.

Only import jobs load this package: what training reads is in ``core.distillation.data``.
"""
