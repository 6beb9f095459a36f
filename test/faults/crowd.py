"""A Python application among the processes: plain sqlite3, a transaction for each turn, obeys lines of JSON."""
import json
import sqlite3
import sys
import time


def write(path, prefix, count):
    db = sqlite3.connect(path, timeout=600, isolation_level=None)
    done = 0
    for index in range(count):
        now = time.time()
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "INSERT INTO nodes VALUES (?,?,?,?,?,?,?)",
            (prefix + "-" + str(index), json.dumps([prefix]), "[]", False, 0, now, now),
        )
        db.execute("UPDATE nodes SET routes_discovered = routes_discovered + 1 WHERE node_id = 'shared'")
        db.execute("COMMIT")
        done += 1
        # Whoever never lets go of the processor is always first at the lock.
        time.sleep(0)
    db.close()
    return {"done": done}


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps(write(order["path"], order["prefix"], order["count"])), flush=True)
