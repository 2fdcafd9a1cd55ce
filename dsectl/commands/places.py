"""Where things are: addresses and the secret's path."""

from shlex import quote

from dsectl.cli.invocation import current


def env() -> None:
    """`eval "$(dsectl env)"` sets the variables; the secret itself is not printed."""
    files = current().files()
    addresses = {name: f"{host}:{port}" for name, (host, port) in files.addresses.items()}
    console = current().console
    if console.options.json:
        folder = str(files.folder)
        console.value({"cluster": files.name, "folder": folder, "secret": str(files.secret_path), "nodes": addresses})
        return
    variables = {
        "DSECTL_CLUSTER": files.name,
        "DSECTL_FOLDER": str(files.folder),
        "DSECTL_SECRET_FILE": str(files.secret_path),
        "DSECTL_NODES": " ".join(addresses.values()),
        **{f"DSECTL_{name.upper().replace('-', '_')}": address for name, address in addresses.items()},
    }
    console.lines([f"export {name}={quote(value)}" for name, value in variables.items()])
