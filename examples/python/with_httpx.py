"""The private CA and mutual TLS with httpx.

python3 with_httpx.py https://localhost:8443/hello                the server proves itself
python3 with_httpx.py https://localhost:8444/secure device.pem    and the device does so too
"""

import ssl
import sys

import httpx

if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
url, *device = sys.argv[1:]
try:
    context = ssl.create_default_context(cafile="ca.pem")  # trusts this CA, and none of the system's
    if device:
        context.load_cert_chain(device[0])  # one file with both, or certificate, key
    answer = httpx.get(url, verify=context, timeout=10)
except (OSError, httpx.HTTPError) as error:
    sys.exit(str(error))
if not answer.is_success:
    sys.exit(answer.text)
print(answer.text)
