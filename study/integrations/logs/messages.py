"""Messages of Protocol Buffers of which some fields are read: those of TensorBoard's and W&B's files."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = tuple[int, str, str]
"""Number, name, and kind of a field: of ``KINDS`` or the name of a message; with ``*`` after it where it repeats."""
KINDS = ("double", "float", "int64", "int32", "string", "bytes")


def message_classes(package: str, messages: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    """The classes of messages, by name; fields that are not listed are passed over when one is read."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    proto = descriptor_pb2.FieldDescriptorProto
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            added = message.field.add(number=number, name=field)
            added.label = proto.LABEL_REPEATED if kind.endswith("*") else proto.LABEL_OPTIONAL
            plain = kind.rstrip("*")
            if plain in KINDS:
                added.type = getattr(proto, f"TYPE_{plain.upper()}")
            else:
                added.type, added.type_name = proto.TYPE_MESSAGE, f".{package}.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}
