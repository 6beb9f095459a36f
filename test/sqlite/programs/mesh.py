"""The Python application that shares the file: plain sqlite3, rows by position, obeys orders given as lines of JSON."""
import json
import sqlite3
import struct
import sys
import time

db = sqlite3.connect(sys.argv[1])


def bits(value):
    """A float with all of its bits."""
    return struct.pack(">d", value).hex()


def read():
    nodes = [
        [row[0], json.loads(row[1]), json.loads(row[2]), bool(row[3]), row[4], bits(row[5]), bits(row[6])]
        for row in db.execute("SELECT * FROM nodes ORDER BY node_id")
    ]
    policies = [
        [row[0], row[1], row[2], bits(row[3]), bits(row[4])]
        for row in db.execute("SELECT * FROM policies ORDER BY policy_id")
    ]
    paths = [
        [row[0], row[1], row[2], row[3], json.loads(row[4]), bits(row[5]), bits(row[6])]
        for row in db.execute("SELECT * FROM path_cache ORDER BY cache_key")
    ]
    return {"nodes": nodes, "policies": policies, "paths": paths}


def write(node_id, ttl):
    """A node, a policy and a cached path, in one transaction."""
    now = time.time()
    with db:
        db.execute(
            "INSERT INTO nodes VALUES (?,?,?,?,?,?,?)",
            (node_id, json.dumps(["eth0", "wlan0"]), json.dumps(["batman-adv", "ü"]), True, 7, now, now),
        )
        db.execute("INSERT INTO policies VALUES (?,?,?,?,?)", (node_id, "rules:\n  - a: ü\n", 1, now, now))
        bundle = {"source": node_id, "destination": "z", "primary": [{"nodes": [node_id, "z"], "total_weight": 1.5}]}
        db.execute(
            "INSERT OR REPLACE INTO path_cache VALUES (?,?,?,?,?,?,?)",
            (node_id + ":z:3", node_id, "z", 3, json.dumps(bundle), now, now + ttl),
        )
    return bits(now)


def write_many(prefix, count):
    for index in range(count):
        write(prefix + str(index), 60)
    return count


for line in sys.stdin:
    order = json.loads(line)
    answer = {"read": read, "write": write, "write_many": write_many}[order["do"]](*order.get("with", []))
    print(json.dumps(answer), flush=True)
