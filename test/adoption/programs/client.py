"""The Python application that made the first files: plain sqlite3, rows by position, obeys orders given as lines of JSON."""
import base64
import json
import sqlite3
import struct
import sys

db = sqlite3.connect(sys.argv[1], isolation_level=None)
# Another text than UTF-8 is handed over as its bytes.
db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")


def value_of(cell):
    if cell is None:
        return None
    ((kind, value),) = cell.items()
    return {
        "int": int,
        "real": lambda bits: struct.unpack(">d", bytes.fromhex(bits))[0],
        "text": lambda text: text,
        "bytes": bytes.fromhex,
        "blob": bytes.fromhex,
        "bool": lambda flag: flag,
        "str": str,
    }[kind](value)


def place_of(cell):
    return "CAST(? AS TEXT)" if cell is not None and "bytes" in cell else "?"


def execute(sql):
    """One by one: executescript() would commit first."""
    statement = ""
    for part in sql.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


def query(sql):
    return [list(row) for row in db.execute(sql)]


def insert(rows):
    """By position, with the next rowid; or with the rowid that is given."""
    db.execute("BEGIN")
    for row in rows:
        names, places = "", ", ".join(place_of(cell) for cell in row["values"])
        values = [value_of(cell) for cell in row["values"]]
        if row.get("rowid") is not None:
            names = "(rowid, " + ", ".join(c[1] for c in db.execute(f"PRAGMA table_info({row['table']})")) + ")"
            places, values = "?, " + places, [int(row["rowid"])] + values
        db.execute(f"INSERT INTO {row['table']} {names} VALUES ({places})", values)
    db.execute("COMMIT")


def written(value):
    """A value of a quarantine file."""
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    return {"text": base64.b64decode, "blob": base64.b64decode, "integer": int, "real": float}[kind](text)


def restore(file):
    """Puts the rows of a quarantine file back."""
    db.execute("BEGIN")
    for line in open(file, encoding="utf-8"):
        row = json.loads(line)
        values = row["values"]
        places = ["CAST(? AS TEXT)" if isinstance(v, dict) and "text" in v else "?" for v in values.values()]
        db.execute(
            f"INSERT INTO {row['table']} (rowid, {', '.join(values)}) VALUES (?, {', '.join(places)})",
            [written(row["rowid"])] + [written(value) for value in values.values()],
        )
    db.execute("COMMIT")


def close(_):
    db.close()


ORDERS = {"close": close, "execute": execute, "query": query, "insert": insert, "restore": restore}
for line in sys.stdin:
    order = json.loads(line)
    try:
        answer = {"done": ORDERS[order["do"]](order["with"])}
    except Exception as error:
        answer = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
