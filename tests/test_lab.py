"""The colour lab: what it learns is what torch learns, its switch does what the story says, and everyone can use it."""

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browser import Watched, chromium

from chromae import losses
from chromae.explorer import lab, page
from chromae.models.color_autoencoder import ColorAutoencoder


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def script(browser):
    """A page that holds train.js and nothing else."""
    opened = browser.new_page()
    opened.set_content(f"<script>{page.bundle('train')}</script>")
    return opened


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return lab.save_lab(tmp_path_factory.mktemp("lab") / "lab.html")


@pytest.fixture
def opened(browser, saved):
    """Opens the lab; afterwards nothing may have gone wrong, and nothing may have been asked for."""
    pages = []

    def open_it(fragment="", **options):
        pages.append(Watched(browser, **options))
        return pages[-1].open(saved, fragment)

    yield open_it
    for watched in pages:
        assert watched.errors == []
        assert watched.requests == []
        watched.close()


def test_switches_are_those_that_python_names(opened):
    """`color_lab` refuses what no switch has, and every switch begins at one of its values."""
    page_of_it = opened()
    page_of_it.wait_for_selector(".chart")
    for name, (words, options) in lab.OPTIONS.items():
        select = page_of_it.get_by_label(words)
        assert select.locator("option").evaluate_all("all => all.map((it) => [it.value, it.textContent])") == options
        assert select.input_value() == lab.STATE[name]


GRADIENTS = """([hidden, triplet, numbers, batch, size]) => {
  const made = trainer({ ...DEFAULTS, hidden, triplet });
  made.numbers.set(numbers);
  const loss = made.gradients(Float64Array.from(batch), size);
  return [loss, Array.from(made.gradient)];
}"""


@pytest.mark.parametrize("hidden", [[], [8], [16, 5]])
@pytest.mark.parametrize("triplet", [False, True])
def test_gradients_are_those_of_torch(script, hidden, triplet):
    torch.manual_seed(0)
    model = ColorAutoencoder(hidden=hidden).double()
    batch = torch.rand(7, 3, 3).double() if triplet else torch.rand(7, 3).double()
    loss = (losses.reconstruction_and_triplet if triplet else losses.reconstruction)(model, batch)["loss"]
    loss.backward()
    numbers = torch.cat([it.flatten() for it in model.parameters()])
    rows = batch.transpose(0, 1) if triplet else batch  # anchors, then positives, then negatives
    found = script.evaluate(GRADIENTS, [hidden, triplet, numbers.tolist(), rows.flatten().tolist(), 7])
    slope = torch.cat([it.grad.flatten() for it in model.parameters()])
    assert found[0] == pytest.approx(loss.item(), rel=1e-9)
    torch.testing.assert_close(torch.tensor(found[1]).double(), slope, rtol=1e-5, atol=1e-9)


ADAM = """(batch) => {
  const made = trainer({ ...DEFAULTS, batch });
  const before = Array.from(made.numbers);
  const slopes = [];
  for (let n = 0; n < 5; n++) { made.step(); slopes.push(Array.from(made.gradient)); }
  return [before, slopes, Array.from(made.numbers)];
}"""


def test_steps_are_those_of_adam(script):
    before, slopes, after = (torch.tensor(it, dtype=torch.float64) for it in script.evaluate(ADAM, 50))
    numbers = torch.nn.Parameter(before)
    optimizer = torch.optim.Adam([numbers], lr=1e-3)
    for slope in slopes:
        numbers.grad = slope
        optimizer.step()
    torch.testing.assert_close(after, numbers.detach(), rtol=1e-9, atol=1e-12)


RUN = """([slip, epochs]) => {
  const made = trainer({ ...DEFAULTS, slip });
  let last = null, changes = [];
  for (let epoch = 1; epoch <= epochs; epoch++) {
    made.epoch();
    const now = made.picture(40);
    const away = last && now.reduce((sum, it, i) => sum + Math.abs(it - last[i]), 0) / (0.75 * now.length);
    if (epoch > epochs / 2) changes.push(away);
    last = now;
  }
  return [made.error(), changes.reduce((a, b) => a + b) / changes.length, Array.from(made.numbers)];
}"""


def test_the_switch_is_the_flicker(script):
    """Zeroed every step it reaches the linear limit; zeroed once an epoch the plane changes ten times as much."""
    (mse, change, numbers), (_, flicker, _) = (script.evaluate(RUN, [slip, 120]) for slip in (False, True))
    assert mse <= 0.0281
    assert flicker >= 10 * change
    assert script.evaluate(RUN, [False, 120])[2] == numbers  # the same seed, the same run


def test_random_numbers_are_uniform(script):
    drawn = torch.tensor(
        script.evaluate("() => { const d = randomNumbers(7); return Array.from({length: 30000}, d); }")
    )
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = torch.histc(drawn, 30, 0, 1)
    assert ((counts - 1000).square() / 1000).sum() < 70  # χ², 29 degrees of freedom
    assert abs(torch.corrcoef(torch.stack([drawn[1:], drawn[:-1]]))[0, 1]) < 0.03


def says(opened):
    return opened.locator("output").inner_text()


def test_it_steps_runs_pauses_and_starts_again(opened):
    lab = opened()
    assert says(lab) == "17 numbers, untrained. Press Run."
    plane = "() => Array.from(document.querySelector('.plane').getContext('2d').getImageData(0, 0, 200, 200).data)"
    before = lab.evaluate(plane)
    lab.get_by_role("button", name="One epoch").click()
    assert says(lab).startswith("17 numbers, epoch 1: test MSE 0.0")
    assert lab.evaluate(plane) != before
    lab.get_by_role("button", name="Run").click()
    lab.wait_for_function("() => /epoch [1-9][0-9]/.test(document.querySelector('output').textContent)")
    lab.get_by_role("button", name="Pause").click()
    told = says(lab)
    lab.wait_for_timeout(400)
    assert says(lab) == told
    lab.get_by_role("button", name="Start again").click()
    assert says(lab) == "17 numbers, untrained. Press Run."
    assert lab.evaluate(plane) == before


def test_the_address_holds_the_settings(opened):
    lab = opened("#slip=epoch&hidden=16&seed=3")
    assert says(lab).startswith("197 numbers")
    assert lab.get_by_label("zero the gradients").input_value() == "epoch"
    lab.get_by_label("loss").select_option("triplet")
    lab.wait_for_function("() => location.hash.includes('loss=triplet')")
    assert "seed=3" in lab.evaluate("location.hash")


def test_what_an_address_cannot_mean_is_as_at_the_beginning(opened):
    lab = opened("#batch=0&hidden=x&seed=2&pace=never&lr=1e9")
    assert says(lab) == "17 numbers, untrained. Press Run."
    lab.get_by_role("button", name="One epoch").click()
    assert says(lab).startswith("17 numbers, epoch 1: test MSE 0.0")
    assert lab.evaluate("location.hash") == "#seed=2"


def test_a_key_that_is_held_is_one_epoch(opened):
    """For epochs as quick as a key repeats would flicker."""
    lab = opened("#slip=epoch")
    lab.get_by_role("button", name="One epoch").focus()
    for _ in range(12):
        lab.keyboard.down("Enter")
    lab.keyboard.up("Enter")
    assert says(lab).startswith("17 numbers, epoch 1: ")


def test_only_what_is_drawn_on_keeps_a_finger_from_scrolling(opened):
    lab = opened()
    lab.wait_for_selector(".chart")
    found = lab.evaluate("[...document.querySelectorAll('canvas')].map((it) => getComputedStyle(it).touchAction)")
    assert sorted(found) == ["auto", "auto", "auto", "pan-y"]


def test_run_pause_run_is_one_run(opened):
    """Within one frame, too: two runs at once would train twice as fast, and never stop."""
    lab = opened()
    lab.get_by_role("button", name="Run").wait_for()
    count = """() => new Promise((resolve) => {
      const [ask, all] = [window.requestAnimationFrame, []];
      window.requestAnimationFrame = (it) => { all.push(performance.now()); return ask(it); };
      const run = [...document.querySelectorAll("button")].find((it) => it.textContent === "Run");
      for (let i = 0; i < 3; i++) run.click();
      setTimeout(() => {
        const before = all.length;
        ask(() => ask(() => resolve(all.length - before)));
      }, 500);
    })"""
    assert lab.evaluate(count) <= 3


def test_charts_follow_the_colours_of_the_page(opened):
    lab = opened()
    lab.wait_for_selector(".chart")
    read = "document.querySelector('.chart').toDataURL()"
    light = lab.evaluate(read)
    lab.emulate_media(color_scheme="dark")
    lab.wait_for_function(f"(light) => {read} !== light", arg=light)


def test_the_plane_changes_no_more_than_three_times_a_second(opened):
    """Whatever trains behind it; every epoch only for those who were warned and agreed."""
    lab = opened("#slip=epoch")
    count = """() => new Promise((resolve) => {
      let n = 0;
      const watcher = new MutationObserver(() => n++);
      watcher.observe(document.querySelector(".plane"), { attributes: true, attributeFilter: ["aria-label"] });
      setTimeout(() => resolve(n), 2000);
    })"""
    lab.get_by_role("button", name="Run").click()
    assert 1 <= lab.evaluate(count) <= 7
    lab.get_by_text("Full speed").click()
    lab.get_by_label("I have read this").check()
    assert lab.evaluate(count) > 7


def test_reduced_motion_is_respected(opened):
    lab = opened(reduced_motion="reduce")
    assert says(lab).endswith("Press Run.")
    assert not lab.get_by_text("Full speed").is_visible()


def test_the_cube_turns_by_keys_and_by_drag(opened):
    lab = opened()
    cube = lab.locator(".cube")
    cube.focus()
    lab.keyboard.press("ArrowRight")
    lab.wait_for_function("() => location.hash.includes('turn=0.1208')")
    box = cube.bounding_box()
    lab.mouse.move(box["x"] + 100, box["y"] + 100)
    lab.mouse.down()
    lab.mouse.move(box["x"] + 160, box["y"] + 100)
    lab.mouse.up()
    lab.wait_for_function("() => location.hash.includes('turn=0.2208')")


def test_epochs_are_numbered_in_round_steps(browser):
    opened = browser.new_page()
    opened.set_content(f"<script>{page.bundle('chart')}</script>")
    steps = opened.evaluate("[20, 21, 120, 240, 751, 10000].map(roundStep)")
    opened.close()
    assert steps == [5, 10, 50, 100, 200, 5000]


def test_it_fits_a_narrow_screen_and_is_accessible(opened):
    lab = opened(width=320, height=800)
    assert lab.evaluate("document.documentElement.scrollWidth") == 320
    for scheme in ("light", "dark"):
        lab.emulate_media(color_scheme=scheme)
        found = Axe().run(lab).response["violations"]
        assert [it["id"] for it in found if it["impact"] in ("serious", "critical")] == []


def test_its_folder_has_to_be_there(tmp_path):
    with pytest.raises(ValueError, match=r"^path is .*, but there is no folder "):
        lab.save_lab(tmp_path / "none" / "lab.html")
