"""The private CA and mutual TLS with requests.

python3 with_requests.py https://localhost:8443/hello                the server proves itself
python3 with_requests.py https://localhost:8444/secure device.pem    and the device does so too
"""

import sys

import requests

if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
url, *device = sys.argv[1:]
try:
    # `cert` takes one file with both, or (certificate, key).
    answer = requests.get(url, verify="ca.pem", cert=device[0] if device else None, timeout=10)
except OSError as error:
    sys.exit(str(error))
if not answer.ok:
    sys.exit(answer.text)
print(answer.text)
