package spa_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth/examples/spa"
)

// How the page behaves is tested in internal/browsertest; this needs no browser.
func TestThePolicyFitsThePage(t *testing.T) {
	w := httptest.NewRecorder()
	spa.Handler(`/api/"v1"`).ServeHTTP(w, httptest.NewRequest("GET", "/spa/", nil))
	page, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	if !strings.Contains(page, `data-api="/api/&#34;v1&#34;"`) {
		t.Error("the page does not say where the API is")
	}
	for directive, element := range map[string]string{"script-src": `(?s)<script[^>]*>(.*?)</script>`, "style-src": `(?s)<style>(.*?)</style>`} {
		found := regexp.MustCompile(element).FindAllStringSubmatch(page, -1)
		if len(found) != 1 {
			t.Fatalf("%s: %d elements, want one", directive, len(found))
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"; !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if inline := regexp.MustCompile(`<[^>]* (on[a-z]+|style)=`).FindString(page); inline != "" {
		t.Errorf("the policy does not allow %s", inline)
	}
}
