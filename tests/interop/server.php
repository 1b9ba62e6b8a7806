<?php
// The operations of soapmail's methods, by PHP's own SOAP server: from the WSDL of the contract at
// /wsdl, without one at any other path. What it lists is in the JSON file that ROWS names.
const SESSION = "e720445786c7735aa64392f987db2fad";

class Service {
    private function checked($sid) {
        if ($sid !== SESSION) {
            throw new SoapFault("Client", "Invalid Session ID");
        }
    }
    private function rows($sid, $operation) {
        $this->checked($sid);
        return json_decode(file_get_contents(getenv("ROWS")))->$operation;
    }
    // PHP writes the second one as a reference.
    public function api_get_twice($sid) {
        $rows = $this->rows($sid, "api_mail_get_services");
        return array_merge($rows, $rows);
    }
    private function status($text, $status = "ok") {
        return (object) ["status" => $status, "status_text" => $text];
    }

    public function api_login($username, $password) {
        return [$username, $password] === ["user@example.com", "p&ss<w>ord"] ? SESSION : "";
    }
    public function api_mail_get_client_invoices($sid) {
        return $this->rows($sid, "api_mail_get_client_invoices");
    }
    public function api_mail_get_client_unpaid_invoices($sid) {
        return $this->rows($sid, "api_mail_get_client_unpaid_invoices");
    }
    public function api_mail_get_services($sid) {
        return $this->rows($sid, "api_mail_get_services");
    }
    public function api_mail_get_service($sid, $id) {
        foreach ($this->rows($sid, "api_mail_get_services") as $row) {
            if ($row->mail_id === $id) {
                return $row;
            }
        }
        return null;
    }
    public function api_mail_cancel_service($sid, $id) {
        $this->checked($sid);
        if ($id === 500) {
            throw new Exception("the program ends here");
        }
        return $id === 8556;
    }
    public function api_send_mail($sid, $subject, $body, $to, $from) {
        $this->checked($sid);
        if ($subject === "fault") {
            throw new SoapFault("Server.Mail", $body, $to, ["from" => $from]);
        }
        return $this->status("$subject|$body|$to|$from");
    }
    public function api_api_buy_mail($sid, $coupon) {
        $this->checked($sid);
        $order = $this->status($coupon);
        $order->invoices = "19156909,19156910";
        $order->cost = 12.5;
        return $order;
    }
    public function api_api_auto_zonemta_login($sid, $id) {
        $this->checked($sid);
        return $this->status("https://mail.example.com/login?id=$id&a=1");
    }
    public function get_modules() {
        return ["domains", "mail"];
    }
    public function api_make_payment($sid, $module, $invoice) {
        $this->checked($sid);
        if ([$module, $invoice] !== ["mail", 7514880]) {
            return $this->status("Invalid Invoice Number Passed", "error");
        }
        return $this->status("paid");
    }
    public function api_get_paypal_url($module, $invoice) {
        return "<a href=\"https://www.paypal.com/?a=$module&b=$invoice\" target=_blank>Click</a>";
    }
    public function api_get_prepay_list($sid) {
        return $this->rows($sid, "api_get_prepay_list");
    }
    public function api_get_prepay_remaining($sid, $module) {
        $this->checked($sid);
        return $this->status("$module 10.00");
    }
    public function api_get_prepay_paypal_fill_url($sid, $module, $prepay_id, $amount) {
        $this->checked($sid);
        return "https://www.paypal.com/?a=$module&b=$prepay_id&c=$amount";
    }
    public function api_add_prepay($sid, $module, $amount, $automatic_use) {
        $this->checked($sid);
        return [$module, $amount, $automatic_use] === ["mail", 2.5, false] ? 5 : 0;
    }
}

$wsdl = __DIR__ . "/../data/wire/api.wsdl";
$server = $_SERVER["REQUEST_URI"] === "/wsdl"
    ? new SoapServer($wsdl, ["cache_wsdl" => WSDL_CACHE_NONE])
    : new SoapServer(null, ["uri" => "urn:myapi"]);
$server->setClass("Service");
$server->handle();
