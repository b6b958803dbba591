"""Headless Chromium, and what it has seen."""
import json
import os
import urllib.parse

from harness.wait import eventually
from selenium import webdriver
from selenium.common.exceptions import ElementNotInteractableException, JavascriptException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.chrome.service import Service

CHANGING = (StaleElementReferenceException, ElementNotInteractableException, JavascriptException)
DEADLINE = 20.0
# A page's client gives up after three seconds and waits for its user; a machine that does many things at once may stand still for as long.
PATIENT = "const real = window.setTimeout; window.setTimeout = (work, ms, ...all) => real.call(window, work, ms >= 3000 ? 20 * ms : ms, ...all);"


class Browser:
    keys = Keys

    def __init__(self, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = os.environ.get("READSIDE_CHROMIUM", "/usr/bin/chromium")
        for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run", "--hide-scrollbars",
                         "--no-proxy-server", "--disable-component-update", "--lang=ko-KR", "--force-prefers-reduced-motion",
                         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}"):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(os.environ.get("READSIDE_CHROMEDRIVER", "/usr/bin/chromedriver")))
        self.driver.set_page_load_timeout(90)
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=f"(() => {{ {PATIENT} }})()")
        self.base, self.errors_expected = "", False
        self.console, self.asked = [], []

    def close(self):
        self.driver.quit()

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def reset(self, base):
        self.base, self.errors_expected = base, False
        self.driver.get("about:blank")
        self.cdp("Storage.clearDataForOrigin", origin=base, storageTypes="all")
        self.window(1280, 900)
        self.media("light")
        self._read_logs()
        self.console, self.asked = [], []

    def window(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def media(self, scheme):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    # ---- what it has seen ------------------------------------------------------------------------------------

    def _read_logs(self):
        self.console += [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                self.asked.append(message["params"]["url"])

    def requests(self, part):
        """Addresses asked for in this test that have `part` in them."""
        self._read_logs()
        return [url for url in self.asked if part in url]

    def assert_clean(self):
        hacked = self.js("return window.hacked")
        self._read_logs()
        for url in self.asked:
            parts = urllib.parse.urlsplit(url)
            assert parts.scheme in ("data", "blob", "about") or parts.hostname == "127.0.0.1", f"a request left this machine: {url}"
        assert hacked is None, "a product's text was run as a script"
        assert self.errors_expected or not self.console, "\n".join(self.console)

    # ---- driving ---------------------------------------------------------------------------------------------

    def open(self, path):
        self.driver.get(self.base + path if path.startswith("/") else path)
        return self

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def wait(self, check, what=None):
        """What check() returns once it is true; elements that come and go meanwhile do not matter."""
        def tried():
            try:
                return check()
            except CHANGING as e:
                raise AssertionError(str(e)) from None

        return eventually(tried, DEADLINE, what)

    def find(self, css):
        """The first visible element."""
        return self.wait(lambda: next((e for e in self.all(css) if e.is_displayed()), None), css)

    def text(self, css):
        return self.wait(lambda: next((e.text for e in self.all(css) if e.is_displayed()), None), css)

    def texts(self, css):
        """Of all elements at one moment."""
        return self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())", css)

    def click(self, css, containing=None):
        """Clicks the first visible element, or the first with a text."""
        def clicked():
            for element in self.all(css):
                if element.is_displayed() and (containing is None or containing in element.text):
                    self.js("arguments[0].scrollIntoView({block: 'center'})", element)
                    element.click()
                    return True
            return False

        self.wait(clicked, f"{css} with {containing}")

    def press(self, *keys):
        """Keys for whatever has the focus."""
        actions = webdriver.ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def type(self, css, text):
        self.find(css).send_keys(text)

    def paste(self, css, text):
        """All of it in one event: a box that asks at every letter may get the answers in another order."""
        self.js("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", self.find(css), text)

    def type_by_letter(self, css, text):
        """For a box that a widget fills in again after each letter."""
        for end, letter in enumerate(text, 1):
            self.find(css).send_keys(letter)
            self.wait(lambda so_far=text[:end]: self.find(css).get_attribute("value") == so_far)

    def choose(self, css, label):
        """Clicks what stands at css with exactly this text."""
        self.wait(lambda: self.js("const found = [...document.querySelectorAll(arguments[0])].find(e => e.textContent.trim() === arguments[1]); found?.click(); return !!found",
                                  css, label), f"{label} at {css}")

    @property
    def url(self):
        return self.driver.current_url

    def query(self):
        """The parameters of the address: {name: [values]}."""
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.url).query)

    def wait_query(self, name, *values):
        self.wait(lambda: self.query().get(name, []) == list(values), f"{name}={values} in {self.url}")
