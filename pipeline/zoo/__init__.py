"""The bundled zoo: small face networks, how they were trained, and their weights."""
