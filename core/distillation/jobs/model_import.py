"""The job that imports an uploaded checkpoint as the weights of one of our networks."""

from collections.abc import Callable

from core.distillation.models import from_description
from core.distillation.models.importers import load
from core.distillation.models.safetensors_weights import serialize_weights
from core.job_folder import Imported, JobFolder
from core.jobspec.job import ImportModelSpec

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
    network = from_description(spec.description)
    progress(1, STAGES)
    report = load(network, folder.upload)
    progress(2, STAGES)
    metadata = {"description": spec.description.model_dump_json()}
    folder.save_file("model.safetensors", serialize_weights(network, metadata), "model")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    folder.emit(Imported(model=spec.description, parameters=parameters, report=report.to_dict()))
