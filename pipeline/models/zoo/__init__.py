"""The bundled face networks: what is shipped. How they were made is `gauntlet.pipeline.training.zoo`."""
