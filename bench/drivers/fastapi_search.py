"""What a team would write instead of the query-api: FastAPI and elasticsearch-py. The Elasticsearch requests are those of the
query-api, by the query string (file in REQUESTS), so that it only has to read the parameters, ask and shape the answer."""
import json
import os
from contextlib import asynccontextmanager

from elasticsearch import AsyncElasticsearch
from fastapi import FastAPI, Query, Request

with open(os.environ["REQUESTS"]) as f:
    BODIES = {query: [json.loads(line) for line in body.splitlines()] for query, body in json.load(f).items()}
engine = None


@asynccontextmanager
async def lifespan(_):
    global engine
    engine = AsyncElasticsearch(os.environ["ENGINE"], connections_per_node=32)
    yield
    await engine.close()


app = FastAPI(lifespan=lifespan)


def hit(one):
    source = one["_source"]
    return {"id": source["id"], "name": source["name"].get("ko") or source["name"].get("en"), "brand": source.get("brand"),
            "price": {"min": source.get("price_min"), "max": source.get("price_max")}, "currency": source.get("currency"),
            "in_stock": source.get("in_stock"), "stock": source.get("stock"), "categories": source.get("categories", [])}


def facet(aggregation):
    """Buckets, however deep they are."""
    if "buckets" in aggregation:
        buckets = aggregation["buckets"]
        items = buckets.items() if isinstance(buckets, dict) else ((b["key"], b) for b in buckets)
        return [{"value": key, "count": b["doc_count"]} for key, b in items]
    return {name: facet(inner) for name, inner in aggregation.items() if isinstance(inner, dict)}


async def ask(lines):
    """A search, or header and search of each of an _msearch: the page and all aggregations."""
    if len(lines) == 1:
        answer = await engine.search(index="products", **{"source" if k == "_source" else "from_" if k == "from" else k: v
                                                          for k, v in lines[0].items()})
        return answer, answer.get("aggregations", {})
    answers = (await engine.msearch(index="products", searches=lines))["responses"]
    return answers[0], {name: a for one in answers for name, a in one.get("aggregations", {}).items()}


@app.get("/v1/search")
async def search(request: Request, q: str = "", lang: str = "ko", category: list[str] = Query([]), brand: list[str] = Query([]),
                 price: list[str] = Query([]), in_stock: bool | None = None, sort: str = "relevance", page: int = Query(1, ge=1),
                 size: int = Query(20, ge=1, le=100), facets: str = ""):
    answer, counts = await ask(BODIES[request.url.query])
    return {"query": {"q": q}, "total": answer["hits"]["total"], "page": page, "size": size, "hits": [hit(h) for h in answer["hits"]["hits"]],
            "facets": {name: facet(a) for name, a in counts.items()}, "took_ms": answer["took"]}
