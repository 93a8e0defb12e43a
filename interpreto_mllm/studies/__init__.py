"""Studies: configs, data, runs over many samples, their artifacts and reports. Needs the extra `study`."""

from interpreto_mllm.core.optional import optional

optional("pydantic", "interpreto_mllm.studies", "study")
