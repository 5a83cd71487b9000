"""The body of an import job: an uploaded checkpoint becomes weights of one of our networks, or is refused with a reason."""

from collections.abc import Callable

from core.distillation.models import from_description
from core.distillation.models.importers import load
from core.distillation.models.safetensors_weights import serialize_weights
from core.job_folder import Imported, JobFolder
from core.jobspec.job import ImportModelSpec

STAGES = 3


def import_model(
    folder: JobFolder, progress: Callable[[int, int], None] = lambda done, of: None
) -> None:
    """Open ``folder.upload`` as the network that the spec describes; publish output/model.safetensors, then say Imported.

    Raises Refused where the upload cannot be used, with the codes of ``importers.load``; and whatever ``progress`` does.
    """
    spec = folder.read_spec()
    if not isinstance(spec, ImportModelSpec):
        raise TypeError(f"import_model carries out import_model jobs; this is a {spec.kind} job.")
    network = from_description(spec.description)
    progress(1, STAGES)
    report = load(network, folder.upload)
    progress(2, STAGES)
    description = {"description": spec.description.model_dump_json()}
    folder.save_file("model.safetensors", serialize_weights(network, description), "model")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    folder.emit(Imported(model=spec.description, parameters=parameters, report=report.to_dict()))
