"""One cluster, three hosts: where commands go. Starts three private servers: python examples/first_steps.py."""

from nydus.db import create_cluster
from nydus_core import CrossHostError

with create_cluster(
    {
        "engine": "embedded",
        "router": "slots",
        "hosts": {"north": {}, "south": {}, "west": {}},
    }
) as cluster:
    print(cluster)

    cluster.mset({f"user:{number}": number for number in range(12)})
    for number in range(3):
        key = f"user:{number}"
        print(f"{key} lives on {cluster.router.locate(key.encode())}: {cluster.get(key)}")

    print("MGET is split:", cluster.mget("user:1", "nobody", "user:3"))
    print("DBSIZE goes to all hosts:", cluster.dbsize())
    print("One host alone:", cluster.on("north").dbsize())

    keys = [f"likes:{number}" for number in range(5)]
    try:
        cluster.sunion(keys)
    except CrossHostError as error:
        print("Refused, and nothing was sent:", error)

    cluster.sadd("{user:1}.likes", "tea")
    cluster.sadd("{user:1}.follows", "Ada")
    print("With one hash tag:", cluster.sunion("{user:1}.likes", "{user:1}.follows"))
