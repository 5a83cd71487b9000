"""The job that imports an uploaded checkpoint as the weights of one of our networks."""

from collections.abc import Callable

from core.distillation.models import from_description
from core.distillation.models.importers import load
from core.distillation.models.safetensors_weights import serialize_weights
from core.job_folder import Imported, JobFolder
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import AssumedNormalization, assume_normalization

STAGES = 3


def import_model(
    folder: JobFolder, progress: Callable[[int, int], None] = lambda completed, total: None
) -> None:
    """Read ``folder.upload`` as the network of the spec, and save output/model.safetensors.

    The job's result is an Imported event. Raises Refused, with the codes of ``importers.load``, if
    the upload cannot be used, and whatever ``progress`` raises.
    """
    spec = folder.read_spec()
    if not isinstance(spec, ImportModelSpec):
        raise TypeError(f"import_model runs import_model jobs; this is a {spec.kind} job.")
    description = spec.description
    network = from_description(description)
    progress(1, STAGES)
    report = load(
        network,
        folder.upload,
        state_dict=spec.state_dict,
        normalization_assumed=_assumption(spec),
    )
    progress(2, STAGES)
    settings = description.network.model_copy(update={"normalization": network.normalize.name})
    description = description.model_copy(update={"network": settings})
    metadata = {"description": description.model_dump_json()}
    folder.save_file("model.safetensors", serialize_weights(network, metadata), "model")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    folder.emit(Imported(model=description, parameters=parameters, report=report.to_dict()))


def _assumption(spec: ImportModelSpec) -> AssumedNormalization | None:
    """Return why the network has its normalization; None where the caller chose it."""
    if not spec.normalization_assumed:
        return None
    return assume_normalization(spec.description.network, spec.description.classes)
