"""A report in one of its forms, as the bytes of a file."""

from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gradstudy.study.opened_study import OpenStudy
    from gradstudy.study.report.comparison import Comparison
    from gradstudy.study.report.report import Report

Form = Literal["text", "html", "markdown", "csv", "json", "parquet"]


def report_content(study: "OpenStudy", made: "Report | Comparison", form: Form, width: int = 80) -> bytes:
    """A report as it is written to a file.

    Args:
        study: that it is of; of two that are compared, the first.
        made: the report, or the comparison.
        form: of the file; ``text`` is what a terminal shows that has no colours.
        width: of ``text``, in columns.
    """
    from gradstudy.study.report import text_forms as export
    from gradstudy.study.report.report import Report

    match form:
        case "text":
            from gradstudy.study.report.plain_console import plain_console
            from gradstudy.study.report.terminal import print_report

            text = StringIO()
            print_report(made, plain_console(file=text, width=width, color_system=None, force_terminal=False))
            return text.getvalue().encode()
        case "html":
            from gradstudy.study.report.html import drawn, html_comparison, html_report

            if isinstance(made, Report):
                return html_report(made, study.steps(*drawn(made))).encode()
            return html_comparison(made).encode()
        case "markdown":
            return export.to_markdown(made).encode()
        case "json":
            return export.to_json(made).encode()
        case "csv":
            return export.stacked_tables(made).to_csv(index=False).encode()
        case "parquet":
            file = BytesIO()
            export.write_parquet(made, file)
            return file.getvalue()
