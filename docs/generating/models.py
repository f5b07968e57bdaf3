"""docs/reference/models.md: the tables, by what Django knows of them."""

from collections.abc import Iterator

from django.apps import apps
from django.db.models import Field, Model

from docs.generating.markdown import code, first_paragraph, page, table

ABOUT = """What Hatchery remembers, in SQLite or PostgreSQL: a table each. Private keys are in none of
them; they lie in the data directory, encrypted. Rows of what was signed (certificates, the audit log and
others) are kept as they are by triggers of the database. Every table has an `id` unless another primary
key is named."""


def models_page() -> str:
    found = sorted(apps.get_app_config("pki").get_models(), key=lambda model: model.__name__)
    return page("Models", ABOUT, *(part for model in found for part in _model(model)))


def _model(model: type[Model]) -> Iterator[str]:
    yield f"## {model.__name__}"
    yield f"Table {code(model._meta.db_table)}. {first_paragraph(model.__doc__)}"
    fields = [*model._meta.fields, *model._meta.many_to_many]
    yield table(("field", "type", "what"), [_field(field) for field in fields if not field.auto_created])


def _field(field: Field) -> tuple[str, str, str]:
    return code(field.name), _type(field), "; ".join(_said(field))


def _type(field: Field) -> str:
    if field.related_model is not None:
        many = "many " if field.many_to_many else ""
        return f"{many}{field.related_model.__name__}"
    length = f", {field.max_length} at most" if field.max_length else ""
    return field.get_internal_type().removesuffix("Field") + length


def _said(field: Field) -> Iterator[str]:
    if field.primary_key:
        yield "the primary key"
    elif field.unique:
        yield "unique"
    if field.null:
        yield "may be null"
    if field.choices:
        yield " or ".join(code(value) for value, _ in field.flatchoices)
    if field.help_text:
        yield str(field.help_text)
