// List the ids of the invoices with node-soap, by the WSDL of the server alone.
const soap = require("soap");

const [endpoint, username, password] = process.argv.slice(2);

async function main() {
    const client = await soap.createClientAsync(`${endpoint}?wsdl`);
    const [login] = await client.api_loginAsync({ username, password });
    const sid = login.return.$value ?? login.return;
    if (typeof sid !== "string" || sid === "") {
        throw new Error("Got A Blank Session");
    }
    const [list] = await client.api_mail_get_client_invoicesAsync({ sid });
    const rows = [].concat(list.return.item ?? []);
    console.log(JSON.stringify(rows.map((row) => Number(row.invoices_id.$value ?? row.invoices_id))));
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
