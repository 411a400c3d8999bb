package browsertest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// screenshots is for people who look at the pages.
var screenshots = flag.String("screenshots", "", "`folder` for a picture of each state that is checked, in each theme and width")

// axe is axe-core, as package-lock.json pins it.
func axe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		needed(t, "axe-core is missing (%v): npm ci --ignore-scripts, in internal/browsertest", err)
	}
	return string(source)
}

// violation is what axe-core finds.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

func (v violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.ID, v.Help)
	for _, n := range v.Nodes {
		fmt.Fprintf(&b, "\n\t%s\n\t%s", n.HTML, strings.ReplaceAll(n.Summary, "\n", "\n\t"))
	}
	return b.String()
}

// accessible runs axe-core on what the page shows: in light and dark, wide and at the
// width of a phone, where nothing may stick out to the side.
func (t *tab) accessible(state, axe string) {
	t.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 360} {
			t.theme(theme)
			t.width(width)
			t.picture(fmt.Sprintf("%s %s %d", state, theme, width))
			for _, v := range t.violations(axe) {
				t.t.Errorf("%s, %s, %d px wide: %s", state, theme, width, v)
			}
			if over := t.overflow(); over != "" {
				t.t.Errorf("%s, %d px wide: scrolls sideways: %s", state, width, over)
			}
		}
	}
	t.theme("light")
	t.width(1280)
}

// picture takes one of the whole page, where pictures are asked for.
func (t *tab) picture(name string) {
	t.t.Helper()
	if *screenshots == "" {
		return
	}
	png := run(t, "take a picture", chromedp.FullScreenshot(100))
	name = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.t.Name()+" "+name), "-"), "-")
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644); err != nil {
		t.t.Fatal(err)
	}
}

// violations also says so when axe checked next to nothing: it passes an empty page.
func (t *tab) violations(axe string) []violation {
	t.t.Helper()
	if !eval[bool](t, `"axe" in window`) {
		eval[bool](t, axe+`;"axe" in window`)
	}
	const check = `axe.run({resultTypes: ["violations"]}).then(r => JSON.stringify({violations: r.violations, passes: r.passes.length}))`
	var result struct {
		Violations []violation `json:"violations"`
		Passes     int         `json:"passes"`
	}
	if err := json.Unmarshal([]byte(eval[string](t, check)), &result); err != nil {
		t.t.Fatal(err)
	}
	if result.Passes < 10 {
		t.t.Errorf("axe passed %d rules: it did not see the page\n%s", result.Passes, t.state())
	}
	return result.Violations
}

// overflow names what is wider than the window.
func (t *tab) overflow() string {
	t.t.Helper()
	return eval[string](t, `(() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width) return "";
		const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > width + 1);
		return wide.map(e => e.outerHTML.slice(0, 120)).join("\n") || "the page";
	})()`)
}
