"""A peer of pylsp_jsonrpc over standard input and output, whose methods call the parent back."""

import sys
from pylsp_jsonrpc.endpoint import Endpoint
from pylsp_jsonrpc.exceptions import JsonRpcException
from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter

reader = JsonRpcStreamReader(sys.stdin.buffer)
writer = JsonRpcStreamWriter(sys.stdout.buffer)


def refuse(_):
    raise JsonRpcException("no taco", code=404, data={"left": 0})


def fail(_):
    raise ValueError("out of range")


def twice(params):
    return lambda: endpoint.request("double", [params["n"]]).result()


def code_of(params):
    def run():
        try:
            return endpoint.request(params["method"]).result()
        except JsonRpcException as error:
            return {"code": error.code, "message": error.message}

    return run


endpoint = Endpoint({
    "add": lambda numbers: sum(numbers),
    "named": lambda params: "a " + params["dish"],
    "twice": twice,
    "refuse": refuse,
    "fail": fail,
    "codeOf": code_of,
}, writer.write)
reader.listen(endpoint.consume)
endpoint.shutdown()
