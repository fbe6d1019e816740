"""Folders of ComfyUI; a test names the temporary one."""

temporary = ""


def get_temp_directory() -> str:
    return temporary
