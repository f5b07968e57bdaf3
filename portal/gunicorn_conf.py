"""gunicorn's settings: all listeners of this process, or those that PORTAL_LISTENERS names.

`make serve` runs this; in production it is `gunicorn -c portal/gunicorn_conf.py portal.wsgi`.
"""

import atexit
import gc
import os
import sys
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
try:
    django.setup(set_prefix=False)
except ImproperlyConfigured as error:
    sys.exit(f"Hatchery cannot start. {error}")

from django.conf import settings

from pki.services.measuring import counted, families, shared
from portal import pool, start
from portal.listeners import served_listeners
from portal.sockets import LARGEST_HEAD

# As in manage.py: the master and each worker end a third of a second sooner.
atexit.register(gc.freeze)
start.check_or_exit()

bind = [listener.bind for listener in served_listeners()]
worker_class = "portal.worker.PortalWorker"
workers = settings.PORTAL_WORKERS
threads = 8  # each keeps a database connection; clients that wait need none
worker_connections = start.connections_within_limits(2000)
keepalive = 30  # seconds
timeout = 60  # seconds without a sign of life, and a worker is replaced
graceful_timeout = 10  # seconds
# A worker shows at every turn of its loop that it lives, by touching a file: in memory, where there is such.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
# Contexts and application are made before the fork and shared by the workers.
preload_app = True
# The strict parser; gunicorn 27's fast one needs a package that Python 3.11 cannot have.
http_parser = "python"
limit_request_field_size = LARGEST_HEAD
# No header says anything about the connection: neither its scheme nor its address.
forwarded_allow_ips = ""
sendfile = False
umask = 0o077
control_socket_disable = True
loglevel = "warning"
errorlog = "-"
accesslog = None
logger_class = "portal.gunicorn_log.GunicornLog"


def on_starting(server: Any) -> None:
    start.prepare_or_exit()


def pre_fork(server: Any, worker: Any) -> None:
    # A database connection must not be shared by two processes.
    from django.db import connections

    connections.close_all()
    worker.slot = shared.first_free(each.slot for each in server.WORKERS.values())


def post_fork(server: Any, worker: Any) -> None:
    # A worker's settings do not change. gunicorn looks each one up by two calls, twenty times a request; an
    # attribute that is there is found at once.
    vars(worker.cfg).update({name: setting.get() for name, setting in worker.cfg.settings.items()})
    shared.SHARED.take(worker.slot)
    counted.STARTS.count()
    pool.begin()


def child_exit(server: Any, worker: Any) -> None:
    # By the master, so that it is done whatever the worker died of.
    families.leave(worker.slot)


def pre_request(worker: Any, req: Any) -> None:
    # portal.sockets has answered an Expect: 100-continue already, if the body is wanted at all.
    req._expected_100_continue = False
    if worker.is_crowded:
        req.force_close()


def worker_exit(server: Any, worker: Any) -> None:
    if worker.booted:
        worker.housekeeping.finish()
    pool.end()
