"""A Django project in one file, as a user might mount one."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path, reverse

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    LOGGING_CONFIG=None,
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)


def index(request: HttpRequest) -> HttpResponse:
    """Say where this is."""
    where = (request.META["SCRIPT_NAME"], request.path_info, reverse("index"))
    return HttpResponse("|".join(where))


def upload(request: HttpRequest) -> HttpResponse:
    """Take a file and a field."""
    file = request.FILES["doc"]
    size = sum(len(block) for block in file.chunks())
    return JsonResponse({"name": file.name, "size": size, "note": request.POST["note"]})


def stream(_request: HttpRequest) -> StreamingHttpResponse:
    """Answer in pieces."""

    def pieces() -> Iterator[bytes]:
        for number in range(5):
            yield b"%d\n" % number

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def download(_request: HttpRequest) -> FileResponse:
    """Answer with a file."""
    return FileResponse(io.BytesIO(b"0123456789" * 30_000), content_type="x/own")


def cookies(request: HttpRequest) -> HttpResponse:
    """Say which cookies came, and set two."""
    answer = HttpResponse(" ".join(sorted(request.COOKIES)))
    answer.set_cookie("one", "1")
    answer.set_cookie("two", "2")
    return answer


def crash(_request: HttpRequest) -> HttpResponse:
    """Fail; Django has a page for that."""
    msg = "private"
    raise RuntimeError(msg)


urlpatterns = [
    path("", index, name="index"),
    path("upload", upload),
    path("stream", stream),
    path("file", download),
    path("cookies", cookies),
    path("crash", crash),
]
logging.getLogger("django").setLevel(logging.CRITICAL)
application = get_wsgi_application()
