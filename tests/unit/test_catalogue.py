"""The sample catalogue (bench/catalogue): python3 test_catalogue.py PATH-OF-THE-PROGRAM [unittest arguments]"""
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CATALOGUE", "catalogue")
PRODUCTS = 20000
HANGUL = re.compile("[가-힣]")


def run(*args, env=None, **more):
    environment = dict(os.environ, **(env or {}))
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, env=environment, check=False, **more)


def output(*args, env=None):
    done = run(*args, env=env)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b"", "progress belongs on a terminal"
    return done.stdout


def lines(what, products=PRODUCTS, seed=1):
    return [json.loads(line) for line in output(what, "--products", products, "--seed", seed).splitlines()]


def check_digit_is_right(code):
    digits = [int(c) for c in code]
    return len(code) == 13 and sum(d * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0


def price_bounds():
    """Category id → lowest and highest price, as the tables say."""
    bounds = {}
    for table in sorted((PROJECT / "bench/catalogue/data").glob("*.txt")):
        for found in re.finditer(r"^(\d+) >+ .* = \w+ \w+ (\d+)/\d+/(\d+) ", table.read_text("utf-8"), re.M):
            bounds[int(found[1])] = int(found[2]), int(found[3])
    return bounds


class Repeatable(unittest.TestCase):
    def test_same_seed_same_bytes(self):
        for what in "categories", "products", "stock":
            first = output(what, "--products", 3000, "--seed", 7)
            again = output(what, "--products=3000", "--seed=7", env={"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Seoul"})
            self.assertEqual(first, again, what)

    def test_another_seed_is_another_catalogue(self):
        self.assertNotEqual(output("products", "--products", 50), output("products", "--products", 50, "--seed", 2))
        self.assertEqual(output("categories", "--products", 50), output("categories", "--products", 50, "--seed", 2))

    def test_a_larger_catalogue_only_adds(self):
        for what in "products", "stock":
            small, large = (output(what, "--products", n) for n in (500, 2500))
            self.assertTrue(large.startswith(small) and len(large) > len(small), what)

    def test_no_products(self):
        self.assertEqual(output("products", "--products", 0), b"")


class Categories(unittest.TestCase):
    def setUp(self):
        self.all = lines("categories")
        self.by_id = {c["id"]: c for c in self.all}

    def level(self, category):
        return 1 + self.level(self.by_id[category["parent_id"]]) if "parent_id" in category else 1

    def test_parents_come_first(self):
        seen = set()
        for category in self.all:
            self.assertNotIn(category["id"], seen)
            if "parent_id" in category:
                self.assertIn(category["parent_id"], seen)
            seen.add(category["id"])

    def test_counts(self):
        levels = collections.Counter(self.level(c) for c in self.all)
        self.assertGreaterEqual(levels[1], 12)
        self.assertGreaterEqual(len(self.all), 300)
        self.assertEqual(set(levels), {1, 2, 3, 4, 5})

    def test_siblings_differ(self):
        for language in "ko", "en":
            names = collections.Counter((c.get("parent_id"), c["name"][language]) for c in self.all)
            self.assertEqual([n for n, count in names.items() if count > 1], [])

    def test_shape(self):
        for category in self.all:
            self.assertLessEqual(set(category), {"id", "parent_id", "name"})
            self.assertEqual(set(category["name"]), {"ko", "en"})
            self.assertTrue(0 < category["id"] < 10000)


class Products(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bytes = output("products", "--products", PRODUCTS)
        cls.all = [json.loads(line) for line in cls.bytes.splitlines()]
        cls.stock = lines("stock")
        cls.categories = {c["id"]: c for c in lines("categories")}

    def department(self, product):
        category = self.categories[product["primary_category_id"]]
        while "parent_id" in category:
            category = self.categories[category["parent_id"]]
        return category["name"]["en"]

    def variants(self):
        return ((p, v) for p in self.all for v in p.get("variants", []))

    def test_ids(self):
        self.assertEqual([p["id"] for p in self.all], [f"p{i:07d}" for i in range(1, PRODUCTS + 1)])

    def test_bytes(self):
        self.assertNotIn(b"\0", self.bytes)
        self.assertNotIn(b"\\", self.bytes)
        self.bytes.decode("utf-8")
        self.assertTrue(900 <= len(self.bytes) / PRODUCTS <= 1300, len(self.bytes) / PRODUCTS)

    def test_shape(self):
        needed = {"id", "name", "description", "brand", "price", "currency", "attributes", "categories", "primary_category_id"}
        for product in self.all:
            self.assertEqual(set(product) - {"variants"}, needed)
            self.assertEqual(product["currency"], "KRW")
            self.assertEqual(product["primary_category_id"], product["categories"][0])
            self.assertLessEqual(set(product["categories"]), set(self.categories))
            self.assertEqual(len(set(product["categories"])), len(product["categories"]))

    def test_no_key_twice(self):
        def pairs(items):
            self.assertEqual(len({k for k, _ in items}), len(items), items)
            return dict(items)

        for line in self.bytes.splitlines():
            json.loads(line, object_pairs_hook=pairs)

    def test_attributes(self):
        names = set()
        for holder in [*self.all, *(v for _, v in self.variants())]:
            names |= set(holder["attributes"])
            for name, value in holder["attributes"].items():
                if isinstance(value, list):
                    self.assertTrue(value and all(isinstance(v, str) and v for v in value), name)
                    self.assertEqual(len(set(value)), len(value), name)
                else:
                    self.assertIsInstance(value, (str, int, float, bool), name)
        for name in names:
            self.assertRegex(name, r"\A[a-z][a-z0-9_]*\Z")
        self.assertGreaterEqual(len(names), 3000)

    def test_attributes_differ_by_category(self):
        by_category = collections.defaultdict(set)
        for product in self.all:
            by_category[product["primary_category_id"]] |= set(product["attributes"])
        self.assertGreaterEqual(len(by_category), 250)
        everywhere = collections.Counter(name for names in by_category.values() for name in names)
        own = [sum(everywhere[name] == 1 for name in names) for names in by_category.values()]
        self.assertGreaterEqual(min(own), 4)
        self.assertGreaterEqual(sum(own) / len(own), 8)

    def test_prices(self):
        bounds = price_bounds()
        for product in self.all:
            low, high = bounds[product["primary_category_id"]]
            for price in [product["price"], *(v["price"] for v in product.get("variants", []) if "price" in v)]:
                self.assertTrue(low <= price <= high, (product["id"], price, low, high))
                self.assertEqual(price % 10, 0)
        round_ones = sum(p["price"] % 1000 in (0, 900) for p in self.all)
        self.assertGreater(round_ones / PRODUCTS, 0.85)

    def test_variants(self):
        shares = collections.Counter(len(p.get("variants", [])) for p in self.all)
        self.assertLessEqual(set(shares), {0, *range(2, 13)})
        self.assertTrue(0.30 <= 1 - shares[0] / PRODUCTS <= 0.45, shares)
        for product, variant in self.variants():
            self.assertLessEqual(set(variant), {"sku", "attributes", "price"})
            self.assertNotEqual(variant.get("price"), product["price"])
            common = (set(variant["attributes"]) & set(product["attributes"])) - {"ean"}
            self.assertEqual(common, set(), product["id"])
        for product in self.all:
            kinds = [tuple(sorted((k, v) for k, v in x["attributes"].items() if k != "ean")) for x in product.get("variants", [])]
            self.assertEqual(len(set(kinds)), len(kinds), product["id"])

    def test_skus_and_stock(self):
        skus = [v["sku"] for _, v in self.variants()] + [p["id"] for p in self.all if "variants" not in p]
        self.assertEqual(len(set(skus)), len(skus))
        for sku in skus:
            self.assertRegex(sku, r"\A[A-Za-z0-9-]{4,64}\Z")
        self.assertEqual(sorted(skus), sorted(s["sku"] for s in self.stock))
        amounts = [s["available"] for s in self.stock]
        self.assertTrue(all(isinstance(n, int) and 0 <= n < 1000 for n in amounts))
        self.assertAlmostEqual(amounts.count(0) / len(amounts), 0.08, delta=0.01)
        self.assertAlmostEqual(sum(1 <= n <= 5 for n in amounts) / len(amounts), 0.10, delta=0.01)

    def test_codes(self):
        codes = [x["attributes"]["ean"] for x in [*self.all, *(v for _, v in self.variants())] if "ean" in x["attributes"]]
        self.assertGreaterEqual(len(codes), PRODUCTS)
        self.assertEqual(len(set(codes)), len(codes))
        self.assertEqual([c for c in codes if not check_digit_is_right(c)], [])
        isbns = [p["attributes"]["isbn"] for p in self.all if "isbn" in p["attributes"]]
        self.assertTrue(isbns and all(i.startswith("979") for i in isbns))
        models = [p["attributes"]["model"] for p in self.all if "model" in p["attributes"]]
        self.assertEqual(len(set(models)), len(models))

    def test_texts(self):
        broken = re.compile(r"[{}|*]|  |^ | $| [,.)]|\( |undefined|,,|\.\.")
        english_in_korean = re.compile(r"\b[a-z]{3,}\b(?<!kcal)(?<!ppm)")
        for product in self.all:
            for field in "name", "description":
                texts = product[field]
                self.assertEqual(set(texts), {"ko", "en"})
                for language, text in texts.items():
                    self.assertTrue(text)
                    self.assertIsNone(broken.search(text), (product["id"], language, text))
                self.assertIsNone(HANGUL.search(texts["en"]), texts["en"])
            self.assertIsNotNone(HANGUL.search(product["description"]["ko"]))
            for sentence in product["description"]["en"].split(". "):
                self.assertFalse(sentence[0].islower() and sentence[:2] not in ("iP", "iM"), sentence)
            lower = set(english_in_korean.findall(product["description"]["ko"])) - {"gram", "evo", "xboom", "mm"}
            self.assertEqual(lower, set(), product["description"]["ko"])

    def test_particles(self):
        def has_final(syllable):
            return (ord(syllable) - 0xAC00) % 28 != 0

        text = " ".join(p["description"]["ko"] for p in self.all)
        wrong = [m[0] for m in re.finditer(r"\w*([가-힣])를\b", text) if has_final(m[1])]
        wrong += [m[0] for m in re.finditer(r"\w*([가-힣])을\b", text)
                  if not has_final(m[1]) and not m[0].endswith(("가을", "마을"))]
        wrong += re.findall(r"(?:macOS|USB|C|GPS|iOS|K)을\b|(?:L|M|N|R|1|3|6|7|8|0)를\b", text)
        self.assertEqual(wrong, [])

    def test_names_rarely_repeat(self):
        names = {p["name"]["ko"] for p in self.all}
        self.assertGreater(len(names) / PRODUCTS, 0.93)

    def test_brands_are_zipf_like(self):
        brands = collections.defaultdict(collections.Counter)
        for product in self.all:
            brands[self.department(product)][product["brand"]] += 1
        self.assertGreaterEqual(len(brands), 12)
        for department, counts in brands.items():
            ranked = [n for _, n in counts.most_common()]
            self.assertGreaterEqual(len(ranked), 50, department)
            self.assertGreater(ranked[0], 2 * ranked[9], department)
            self.assertGreater(ranked[9], 2 * ranked[49], department)


class CommandLine(unittest.TestCase):
    def test_help_and_version(self):
        self.assertIn(b"--products N", output("--help"))
        self.assertRegex(output("--version").decode(), r"\Acatalogue \d+\.\d+\.\d+\n\Z")

    def test_wrong_usage(self):
        for args in ([], ["--products"], ["--products", "ten"], ["--products", "-1"], ["--products", "1e6"], ["--products", ""],
                     ["--products", "10000000"], ["--products", "99999999999999999999999"], ["--seed", "x", "--products", "1"],
                     ["shoes", "--products", "1"], ["products", "stock", "--products", "1"], ["--wat"],
                     ["products", "--products", "1", "--out", "x"], ["--products", "1", "--out", ""]):
            done = run(*args)
            self.assertEqual((done.returncode, done.stdout), (2, b""), args)
            self.assertIn(b"--help", done.stderr, args)

    def test_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            target = pathlib.Path(folder) / "deep" / "er"
            self.assertEqual(run("--products", 300, "--out", target).returncode, 0)
            self.assertEqual(sorted(p.name for p in target.iterdir()), ["categories.ndjson", "products.ndjson", "stock.ndjson"])
            for what in "categories", "products", "stock":
                self.assertEqual((target / f"{what}.ndjson").read_bytes(), output(what, "--products", 300))

    def test_folder_in_the_way(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "file"
            file.write_text("mine")
            done = run("--products", 10, "--out", file)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"cannot", done.stderr)
            (pathlib.Path(folder) / "stock.ndjson.part").mkdir()
            done = run("--products", 10, "--out", folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"stock.ndjson", done.stderr)
            self.assertEqual(sorted(p.name for p in pathlib.Path(folder).iterdir()), ["file", "stock.ndjson.part"])

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_disk_full(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "products", "--products", "5000"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        PROGRAM = sys.argv.pop(1)
    unittest.main()
