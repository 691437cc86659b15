"""What happened in somebody's training logs, and what to try.

``from gradstudy.study.diagnosis.diagnose import diagnose`` is what ``gradstudy diagnose`` calls.
"""
