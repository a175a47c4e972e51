"""A certificate for 127.0.0.1, made for one case and gone with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .process import CertificateAndKey


@contextmanager
def temporary() -> Iterator[CertificateAndKey]:
    """The files of a certificate and its key, in a folder that ends with the block."""
    import trustme  # Two of the cases need it; the others run without.

    with TemporaryDirectory(prefix="lowlevel-bench-") as folder:
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        # ECDSA on P-256 (trustme's default), as most public servers have today.
        issued = trustme.CA().issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(str(key))
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(certificate), append=True)
        yield certificate, key
