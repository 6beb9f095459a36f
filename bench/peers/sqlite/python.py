"""Python's sqlite3 as its documentation shows it.

python.py FILE DURABILITY            answers requests, a line of JSON each: calls of a method, and how long they took
python.py FILE DURABILITY first      says the id of the first node as soon as it has it
python.py FILE DURABILITY iterate    reads all rows, and says how many, how long it took, and the memory that it added
"""
import json
import resource
import sqlite3
import sys
import time
from datetime import datetime, timezone

file, durability, *mode = sys.argv[1:]
connection = sqlite3.connect(file)
connection.execute("PRAGMA journal_mode = wal")
connection.execute(f"PRAGMA synchronous = {durability}")


def node_of(row):
    return {
        "nodeId": row[0],
        "interfaces": json.loads(row[1]),
        "protocols": json.loads(row[2]),
        "started": row[3] == 1,
        "routesDiscovered": row[4],
        "createdAt": datetime.fromtimestamp(row[5], timezone.utc),
        "updatedAt": datetime.fromtimestamp(row[6], timezone.utc),
    }


def row_of(node):
    now = time.time()
    lists = (json.dumps(node["interfaces"]), json.dumps(node["protocols"]))
    return (node["nodeId"], *lists, node["started"], node["routesDiscovered"], now, now)


def first_of(rows):
    row = rows.fetchone()
    return row and node_of(row)


def get(node_id):
    return first_of(connection.execute("SELECT * FROM nodes WHERE node_id = ?", (node_id,)))


def get_many(node_ids):
    places = ", ".join("?" * len(node_ids))
    return [node_of(row) for row in connection.execute(f"SELECT * FROM nodes WHERE node_id IN ({places})", node_ids)]


def page(after, limit):
    rows = connection.execute("SELECT * FROM nodes WHERE node_id > ? ORDER BY node_id LIMIT ?", (after, limit))
    return [node_of(row) for row in rows]


INSERT = "INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?)"


def insert(node):
    with connection:
        connection.execute(INSERT, row_of(node))


def insert_many(nodes):
    with connection:
        connection.executemany(INSERT, map(row_of, nodes))


def update(node_id, started):
    with connection:
        statement = "UPDATE nodes SET started = ?, updated_at = ? WHERE node_id = ? RETURNING *"
        return first_of(connection.execute(statement, (started, time.time(), node_id)))


def upsert(node):
    with connection:
        statement = f"""{INSERT} ON CONFLICT (node_id) DO UPDATE SET interfaces = excluded.interfaces,
            protocols = excluded.protocols, updated_at = excluded.updated_at RETURNING *"""
        return first_of(connection.execute(statement, row_of(node)))


def delete(node_id):
    with connection:
        return connection.execute("DELETE FROM nodes WHERE node_id = ?", (node_id,)).rowcount > 0


METHODS = {
    "get": get,
    "getMany": get_many,
    "list": page,
    "insert": insert,
    "insertMany": insert_many,
    "update": update,
    "upsert": upsert,
    "delete": delete,
}


def say(answer):
    print(json.dumps(answer, default=lambda date: round(date.timestamp() * 1000)), flush=True)


def answer_requests():
    say({"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version})
    for line in sys.stdin:
        request = json.loads(line)
        call, last = METHODS[request["method"]], None
        times = [time.perf_counter()]
        for arguments in request["calls"]:
            last = call(*arguments)
            times.append(time.perf_counter())
        say({"times": [moment * 1000 for moment in times], "last": last if request["answer"] else None})


def most_memory():
    """Bytes, at its highest: Linux counts in KiB, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def iterate():
    before, begun, rows = most_memory(), time.perf_counter(), 0
    for row in connection.execute("SELECT * FROM nodes ORDER BY node_id"):
        node_of(row)
        rows += 1
    took = (time.perf_counter() - begun) * 1000
    say({"rows": rows, "ms": took, "before": before, "most": most_memory()})


if mode == ["first"]:
    say(page("", 1)[0]["nodeId"])
elif mode == ["iterate"]:
    iterate()
else:
    answer_requests()
connection.close()
