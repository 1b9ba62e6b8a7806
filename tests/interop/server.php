<?php
// The invoices from the contract, by PHP's own SOAP server; each row stands twice in the list,
// so that it writes the second one as a reference to the first.
class Service {
    private function rows($operation) {
        $contract = json_decode(file_get_contents(__DIR__ . "/../data/contract.json"));
        return $contract->samples->$operation;
    }
    public function api_login($username, $password) {
        return $password === "p&ss<w>ord" ? "e720445786c7735aa64392f987db2fad" : "";
    }
    public function api_mail_get_client_invoices($sid) {
        if ($sid !== "e720445786c7735aa64392f987db2fad") {
            throw new SoapFault("Client", "Invalid Session ID");
        }
        $rows = $this->rows("api_mail_get_client_invoices");
        return array_merge($rows, $rows);
    }
    public function api_mail_get_service($sid, $id) {
        foreach ($this->rows("api_mail_get_services") as $row) {
            if ($row->mail_id === $id) {
                return $row;
            }
        }
        return null;
    }
    public function api_send_mail($sid, $subject, $body, $to, $from) {
        return (object) ["status" => "ok", "status_text" => "$subject|$body|$to|$from"];
    }
    public function api_add_prepay($sid, $module, $amount, $automatic_use) {
        return ($automatic_use === false && $amount === 2.5) ? 5 : 0;
    }
    public function get_modules() {
        return ["domains", "mail"];
    }
}
$server = new SoapServer(null, ["uri" => "urn:myapi"]);
$server->setClass("Service");
$server->handle();
