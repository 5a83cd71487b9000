"""What to do about each failure of a job: a sentence next to every code of ``core.errors``."""

_AGAIN = "Retry the job: nothing is wrong with its spec."
_NEW_UPLOAD = "Upload the original file again; the copy that arrived is damaged or incomplete."
_OTHER_FORMAT = (
    "Upload weights as safetensors or as a plain state dict, and data sets as class folders or as "
    "an .npz file with plain arrays."
)
_OTHER_IMAGES = (
    "Correct the images that the message names and upload the data set again, or give image_size, "
    "so that all of them get one size."
)
_OTHER_NETWORK = (
    "Describe the network as it was trained: architecture, settings, number of classes, image size."
)

ADVICE: dict[str, str] = {
    # -- of trainings and evaluations
    "accelerator_error": "Retry the job; if it fails on the same worker again, drain that worker "
    "and look at its GPU.",
    "corrupt_input": "Upload the model or data set that the message names again, and submit the "
    "job with the new one.",
    "corrupt_object": "Ask the operator to run `distill storage verify`: a stored file is not what "
    "was written.",
    "diverged": "Lower schedule.learning_rate, or set schedule.max_gradient_norm; the curves show "
    "where it began.",
    "foreign_checkpoint": "Submit the job anew; its checkpoint belongs to another one.",
    "incomplete_checkpoint": "Retry the job; if it fails in the same way, submit it anew, without "
    "the checkpoint.",
    "io_error": "Retry the job; if it fails on the same worker again, ask the operator to look at "
    "that worker's disk.",
    "machine_error": "Retry the job; if it fails on the same worker again, drain that worker.",
    "missing_input": "Wait until the model or data set that the message names is ready, or name "
    "another one.",
    "no_compiler": "Set schedule.compile to false, or run it on workers with a C++ compiler.",
    "no_such_folder": "Ask the operator for the names in the data folder, which must be mounted on "
    "every worker.",
    "non_finite_loss": "Lower schedule.learning_rate, set schedule.max_gradient_norm, or use "
    "precision fp32; the message names the term of the loss.",
    "out_of_memory": "Use a smaller schedule.batch_size or evaluation.batch_size, a smaller "
    "student, or a worker with more memory.",
    "storage_full": "Ask the operator for room on the disk; the job goes on by itself when there "
    "is some.",
    "timeout": "Import a smaller archive, or ask the operator to raise DISTILL_IMPORT_SECONDS.",
    "trainer_died": "Read the end of the log. If it was killed by SIGKILL, the machine had too "
    "little memory: use a smaller batch, or a worker with more memory.",
    "trainer_error": "Read the traceback at the end of the log; what it names is either a setting "
    "to change or an error of this program to report.",
    "trainer_hung": "Read the end of the log. A step that takes very long needs a smaller batch; "
    "otherwise ask the operator to raise DISTILL_HANG_SECONDS, or look at the worker.",
    "trainer_stopped": "Retry the job: somebody or something ended its process.",
    "unreadable_dataset": "Import the data set again; its stored file does not match its "
    "description.",
    "worker_error": "Retry the job; if it fails on the same worker again, ask the operator to read "
    "that worker's log.",
    "worker_lost": _AGAIN + " If workers are lost often, look at their machines and at their "
    "connection to the database.",
    # -- of imports
    "corrupt_archive": _NEW_UPLOAD,
    "download_failed": "Try again later, or download the data set yourself and upload it.",
    "empty_class": "Give every class at least one image in every part, or leave the class out.",
    "hash_mismatch": _NEW_UPLOAD,
    "misshaped_keys": _OTHER_NETWORK,
    "missing_keys": _OTHER_NETWORK,
    "mixed_sizes": _OTHER_IMAGES,
    "negative_variance": _NEW_UPLOAD,
    "no_test_images": "Add a folder or arrays of test images.",
    "non_finite_weights": "Upload an earlier checkpoint, from before its training diverged.",
    "refused_upload": _OTHER_FORMAT,
    "too_few_classes": "Give the data set at least two classes.",
    "too_large": "Upload fewer or smaller images, or give image_size, so that they stay encoded.",
    "too_small": "Use larger images, or give image_size.",
    "unexpected_keys": _OTHER_NETWORK,
    "unfitting_classes": _OTHER_NETWORK,
    "unfitting_image_size": _OTHER_NETWORK,
    "unknown_format": _OTHER_FORMAT,
    "unknown_state_dict": "Name one of the state dicts that the message lists.",
    "unreadable_checkpoint": _OTHER_FORMAT,
    "unreadable_folder": "Ask the operator to make the folder readable for the workers.",
    "unreadable_image": _OTHER_IMAGES,
    "unsafe_checkpoint": _OTHER_FORMAT,
    "unsafe_dataset": _OTHER_FORMAT,
    "unusable_array": "Save the arrays as the documentation of data sets says: images as uint8, "
    "labels as whole numbers.",
}
"""By code of a failure."""


def advice_for(code: str) -> str | None:
    """Return what to do about a failure; None for a code of another program."""
    return ADVICE.get(code)
