"""The bundled face networks: what is shipped. How they were made is `training/zoo`."""
