"""Keys and certificates of a cluster, made with the openssl command.

One authority signs everything. What exists is kept: clients of a mended cluster stay valid.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

DAYS = "3650"
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]


def authority(folder: Path) -> None:
    """Make the authority ``ca`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    # openssl's own configuration would mark every certificate as an authority.
    (folder / "openssl.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,digitalSignature"]
    request(folder, "ca", "/CN=argosy-devcluster", [*extensions, "subjectKeyIdentifier=hash"], signer=[])


def issue(folder: Path, name: str, *, user: str, group: str = "", hosts: tuple[str, ...] = ()) -> None:
    """Make certificate ``name`` for a Kubernetes user and group, or for a server's hosts."""
    subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
    extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"]
    if hosts:
        alternatives = (("IP:" if host[0].isdigit() else "DNS:") + host for host in hosts)
        extensions.append("subjectAltName=" + ",".join(alternatives))
    signer = ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key")]
    request(folder, name, subject, extensions, signer=signer)


def request(folder: Path, name: str, subject: str, extensions: list[str], *, signer: list[str]) -> None:
    """Make one key and certificate unless both are there; the certificate, written last, says so."""
    final = folder / f"{name}.crt"
    if final.exists():
        return
    scratch = folder / f"{name}.crt.new"
    added = [word for extension in extensions for word in ("-addext", extension)]
    command = ["req", "-x509", *KEY, *signer, "-config", str(folder / "openssl.cnf"), "-days", DAYS]
    command += ["-subj", subject, *added, "-keyout", str(folder / f"{name}.key"), "-out", str(scratch)]
    openssl(command)
    scratch.rename(final)


def signing_key(path: Path) -> None:
    """Make the key that signs service account tokens."""
    if not path.exists():
        scratch = path.with_suffix(".new")
        openssl(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(scratch)])
        scratch.rename(path)


def openssl(args: list[str]) -> None:
    """Run openssl; RuntimeError with its own words if it fails."""
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr.strip()}")
