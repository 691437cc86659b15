"""What gradstudy knows: strategies, tasks, presets."""
